;; Names an object outside the destination.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (local $sink i32)
  (local.set $sink (call $create (local.get $p)))
  (call $finish_ (local.get $sink) (i32.const 80) (i32.const 12) (i32.const 1) (i32.const 1024))
  (if (i32.eqz (i32.load8_u (i32.const 1024))) (then (return (call $draft (local.get $p) (i32.const 1) (i32.const 0)))))
  (call $return_handles (local.get $p))
  (call $failure (i32.const 1)))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
