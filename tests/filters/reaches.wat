;; Opens a file of the host, if there is one to be had.
(import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
(func (export "_start")
  (if (call $open (i32.const 3) (i32.const 0) (i32.const 512) (i32.const 6) (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 8))
    (then (call $exit (i32.const 5))))
  (call $exit (i32.const 0)))
