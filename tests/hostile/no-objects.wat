;; Stores nothing and says that is all.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (call $draft (local.get $p) (i32.const 0) (i32.const 0)))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
