#!/bin/sh
# Lines as logs have them, as many bytes as the argument says: what compression is measured on.
set -eu
awk -v bytes="${1:?usage: benches/text.sh BYTES}" 'BEGIN { srand(1); split("GET PUT /api/charts /api/orders AAPL MSFT 200 404", w, " ")
    for (n = 0; n < bytes; n += length(l) + 1) {
        l = w[int(rand()*8)+1] " " w[int(rand()*8)+1] " " w[int(rand()*8)+1] " " int(rand()*4294967296)
        print l } }'
