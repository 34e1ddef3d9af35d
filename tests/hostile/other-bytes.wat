;; Stores as many bytes, and others.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (local $sink i32)
  (local.set $sink (call $create (local.get $p)))
  (call $write (local.get $sink) (i32.wrap_i64 (call $size (call $source (local.get $p)))))
  (call $finish (local.get $sink))
  (call $draft (local.get $p) (i32.const 1) (i32.const 0)))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
