;; Hands the host more bytes in one call than it takes.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (drop (memory.grow (i32.const 190)))
  (call $log (i32.const 2) (i32.const 4096) (i32.const 12000000))
  (call $archive (local.get $p)))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
