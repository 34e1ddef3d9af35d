;; Asks for what is not there to be asked for: a lookup of names that lead outside.
(import "retain:plugin/blobs@0.1.0" "[method]destination.lookup" (func $lookup (param i32 i32 i32 i32)))
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (call $lookup (call $destination (local.get $p)) (i32.const 80) (i32.const 12) (i32.const 1024))
  ;; An answer instead of a refusal would be the harm.
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then unreachable))
  (call $return_handles (local.get $p))
  (call $failure (i32.const 1)))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
