;; Writes an archive without end.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (local $sink i32)
  (local.set $sink (call $create (local.get $p)))
  (loop $again
    (call $write (local.get $sink) (i32.const 65536))
    (br $again))
  unreachable)
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
