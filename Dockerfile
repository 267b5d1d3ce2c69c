# The program alone, statically linked, without a shell and without root.
#
#   docker build --tag plenipo:0.1.0 .
#
# For another platform: docker buildx build --platform linux/arm64 …

FROM rust:1.95.0-alpine AS build
# A C compiler for the cryptography (aws-lc) and the allocator (mimalloc). Alpine's target is musl: the result needs no libraries.
RUN apk add --no-cache build-base cmake
# That of the image, without the components for developers that rust-toolchain.toml names; and nothing for debuggers.
ENV RUSTUP_TOOLCHAIN=1.95.0 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package plenipo \
    && cp target/release/plenipo /plenipo

# Only authorities' certificates and an empty /tmp are in it.
FROM gcr.io/distroless/static-debian12
COPY --from=build /plenipo /usr/local/bin/plenipo
COPY LICENSE /usr/share/doc/plenipo/LICENSE
USER 8888:8888
EXPOSE 8080 8443 8877
ENTRYPOINT ["/usr/local/bin/plenipo"]
CMD ["run", "--kubernetes"]
