;; What every hostile reviewer begins with: a heap, and verdicts.
(memory (export "memory") 2)
(global $heap (mut i32) (i32.const 8192))
(data (i32.const 64) "review")
(data (i32.const 128) "failed on purpose")

(func $realloc (export "cabi_realloc") (param i32 i32) (param $align i32) (param $new i32) (result i32)
  (local $at i32)
  (local.set $at (i32.and
    (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
    (i32.sub (i32.const 0) (local.get $align))))
  (global.set $heap (i32.add (local.get $at) (local.get $new)))
  (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
    (then (drop (memory.grow (i32.add (i32.shr_u (local.get $new) (i32.const 16)) (i32.const 1))))))
  (local.get $at))

;; So many verdicts of one kind. A verdict takes 32 bytes: its kind, and behind 8 what
;; it holds, of which only a failure's class, code and message are filled in.
(func $verdicts (param $count i32) (param $kind i32) (result i32)
  (local $list i32) (local $at i32) (local $left i32)
  (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 8) (i32.mul (local.get $count) (i32.const 32))))
  (local.set $at (local.get $list))
  (local.set $left (local.get $count))
  (block $end
    (loop $next
      (br_if $end (i32.eqz (local.get $left)))
      (i32.store8 (local.get $at) (local.get $kind))
      (i32.store8 offset=8 (local.get $at) (i32.const 1))
      (i32.store offset=12 (local.get $at) (i32.const 64))
      (i32.store offset=16 (local.get $at) (i32.const 6))
      (i32.store offset=20 (local.get $at) (i32.const 128))
      (i32.store offset=24 (local.get $at) (i32.const 17))
      (local.set $at (i32.add (local.get $at) (i32.const 32)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $next)))
  (i32.store (i32.const 2048) (local.get $list))
  (i32.store (i32.const 2052) (local.get $count))
  (i32.const 2048))

;; The same in columns: so many answers, all alike, and so many objections of one kind.
(func $columns (param $answers i32) (param $answer i32) (param $objections i32) (param $kind i32) (result i32)
  (local $list i32)
  (local.set $list (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $answers)))
  (memory.fill (local.get $list) (local.get $answer) (local.get $answers))
  (drop (call $verdicts (local.get $objections) (local.get $kind)))
  (i32.store (i32.const 2064) (local.get $list))
  (i32.store (i32.const 2068) (local.get $answers))
  (i64.store (i32.const 2072) (i64.load (i32.const 2048)))
  (i32.const 2064))
