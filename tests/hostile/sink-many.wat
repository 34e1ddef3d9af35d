;; Writes without end into one sink after the other, finishing none.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (local $sink i32)
  (loop $again
    (local.set $sink (call $create (local.get $p)))
    (call $write (local.get $sink) (i32.const 65536))
    (call $drop_sink (local.get $sink))
    (br $again))
  unreachable)
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
