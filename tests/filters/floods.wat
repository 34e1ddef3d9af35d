;; Writes without end.
(func (export "_start")
  (loop $again (call $write_all (i32.const 1) (i32.const 4096) (i32.const 65536)) (br $again)))
