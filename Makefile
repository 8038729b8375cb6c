test:
	cargo test --workspace --quiet

.PHONY: test
