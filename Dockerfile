# Builds narrow with ONNX Runtime beside it:
#
#   docker build -t narrow .
#   docker run --rm -v "$PWD:/work" -u "$(id -u):$(id -g)" narrow lint strategy.json

FROM golang:1.26-bookworm AS build
# Any npm of this Debian does: what it fetches is checked by hash.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends npm \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# The modules by themselves, so that they are fetched again only when they change.
COPY go.mod go.sum ./
RUN go mod download
# With .git: the version comes from the tags.
COPY . .
RUN make install DESTDIR=/out PREFIX=/usr/local

# Debian's small image has all that ONNX Runtime links (glibc, libstdc++).
FROM debian:bookworm-slim
COPY --from=build /out/usr/local /usr/local
COPY --from=build /src/LICENSE /src/engine/ort/internal/capi/LICENSE.onnxruntime /usr/local/share/doc/narrow/
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["narrow"]
CMD ["--help"]
