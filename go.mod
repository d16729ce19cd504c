module narrow

go 1.26
