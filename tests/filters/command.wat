;; What every filter here begins with: preview 1 as a compiler for C leaves it.
(import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
(memory (export "memory") 2)
;; 0: a vector of one buffer at 4096, 8: how much it was, 512: words.
(data (i32.const 512) "cannot go on\n")
(func $read (result i32)
  (i32.store (i32.const 0) (i32.const 4096))
  (i32.store (i32.const 4) (i32.const 4096))
  (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 9))))
  (i32.load (i32.const 8)))
(func $write_all (param $fd i32) (param $from i32) (param $length i32)
  (block $end
    (loop $again
      (br_if $end (i32.eqz (local.get $length)))
      (i32.store (i32.const 0) (local.get $from))
      (i32.store (i32.const 4) (local.get $length))
      (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then (call $exit (i32.const 9))))
      (local.set $from (i32.add (local.get $from) (i32.load (i32.const 8))))
      (local.set $length (i32.sub (local.get $length) (i32.load (i32.const 8))))
      (br $again))))
(func $turn_over (param $length i32)
  (local $at i32)
  (local.set $at (i32.const 4096))
  (block $end
    (loop $again
      (br_if $end (i32.ge_u (local.get $at) (i32.add (i32.const 4096) (local.get $length))))
      (i32.store8 (local.get $at) (i32.xor (i32.load8_u (local.get $at)) (i32.const 255)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br $again))))
