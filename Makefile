# "work" names all packages of the modules in go.work.
.PHONY: test race lint bench wine models soak browser dist ci
test: ; tools/test work
race: ; tools/test -race work
lint: ; tools/lint
bench: ; go test -timeout 30m -run='^$$' -bench=. work && go run ./bench
wine: ; test/wine/setup && test/wine/test "" work && test/wine/interop
models: ; docs/models/check && docs/models/check -deep
soak: ; SAMEPAGE_KILLS=10000 SAMEPAGE_PROCESSES=1000 SAMEPAGE_MESSAGES=1e8 SAMEPAGE_VALUES=1e7 SAMEPAGE_SUBSCRIBERS=64 SAMEPAGE_SECONDS=300 go test -p 1 -timeout 60m -run Soak -v ./test/soak ./ipcsync ./pubsub ./cell ./rpc ./legacy/... ./cmd/samepage && SAMEPAGE_EXCHANGES=20000 test/wine/interop -timeout 60m -v
browser: ; tools/install chromium && SAMEPAGE_BROWSER=1 GOWORK=off go -C tools test -count=1 ./browser
dist: ; tools/dist $(if $(VERSION),-version $(VERSION))
ci: ; .ci/run
