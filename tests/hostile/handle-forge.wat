;; Reads from a handle it was never given.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (drop (call $size (i32.const 1000)))
  (call $archive (local.get $p)))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
