;; Stores the file, and restores nothing.
(export "retain:plugin/archiver@0.1.0#archive" (func $archive))
(func (export "retain:plugin/archiver@0.1.0#restore") (param i32) (param i32) (param $objects i32) (param i32) (param $sink i32) (result i32)
  (call $drop_source (i32.load (local.get $objects)))
  (call $restored (local.get $sink)))
