;; Stores the file, with a note of 100,000 bytes.
(func (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  (drop (call $archive (local.get $p)))
  (i32.store (i32.const 2064) (i32.const 100000))
  (i32.const 2048))
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
