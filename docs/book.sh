#!/usr/bin/env bash
# Builds the book into target/book, with mdBook (`cargo install mdbook`). The pages stay where a code host shows them,
# with links that work there; mdBook wants one folder with everything below it, so they are copied into one.
set -euo pipefail
cd "$(dirname "$0")/.."

target="$(realpath -m "${CARGO_TARGET_DIR:-target}")"
stage="$target/book-source"
rm -rf "$stage" "$target/book"
mkdir -p "$stage/src"
cp docs/book.toml "$stage"

# The pages and what they link to.
mapfile -t linked < <(grep -ohE '\]\(\.\./[^):#]+' docs/*.md | sed 's#](\.\./##' | sort -u)
tar --create --exclude=target --exclude=venv --exclude=__pycache__ \
    README.md CHANGELOG.md CONTRIBUTING.md LICENSE docs examples deploy benchmarks "${linked[@]}" \
    | tar --extract --directory "$stage/src"
# Seen from the folder above docs/.
sed -e 's#](#](docs/#; s#](docs/\.\./#](#' docs/SUMMARY.md > "$stage/src/SUMMARY.md"
rm "$stage/src/docs/SUMMARY.md"
# mdBook calls the page of a README the index of its folder, and does not follow itself there.
find "$stage/src" -name '*.md' -not -name SUMMARY.md -exec sed -i -e 's#\(](\|/\)README\.md\([)\#]\)#\1index.md\2#g' {} +

mdbook build --dest-dir "$target/book" "$stage"
printf 'the book is in %s\n' "$target/book/index.html"
