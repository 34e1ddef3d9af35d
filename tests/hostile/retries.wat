;; Says that it may work later, every time.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (call $return_handles (local.get $p))
  (call $failure (i32.const 0)))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
