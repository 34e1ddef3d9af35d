;; Says of every file that it does not know.
(func (export "retain:plugin/reviewer@0.1.0#review") (param $list i32) (param $count i32) (result i32)
  (call $verdicts (local.get $count) (i32.const 3)))
