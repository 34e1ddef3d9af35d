;; Traps while it archives.
(func $archives (export "retain:plugin/archiver@0.1.0#archive") (param $p i32) (result i32)
  unreachable)
(export "retain:plugin/archiver@0.1.0#restore" (func $restore))
