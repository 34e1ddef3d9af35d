;; Stores the file, and restores other bytes.
(export "retain:plugin/archiver@0.1.0#archive" (func $archive))
(func (export "retain:plugin/archiver@0.1.0#restore") (param i32) (param i32) (param $objects i32) (param i32) (param $sink i32) (result i32)
  (local $object i32)
  (local.set $object (i32.load (local.get $objects)))
  (call $write (local.get $sink) (i32.wrap_i64 (call $size (local.get $object))))
  (call $drop_source (local.get $object))
  (call $restored (local.get $sink)))
