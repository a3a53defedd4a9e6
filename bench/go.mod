module samepage/bench

go 1.26.0

require samepage v0.0.0

require golang.org/x/sys v0.49.0

replace samepage => ../
