module samepage/cmd

go 1.26.0

require samepage v0.0.0

replace samepage => ../
