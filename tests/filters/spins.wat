;; Never comes back.
(func (export "_start") (loop $again (br $again)))
