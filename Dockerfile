# Two images with one static binary each, its licences, and nothing else: no shell, no libraries, no package to patch.
#   make images                      builds both from this checkout
#   docker build --target sidecar …  in a folder that holds the two binaries, and the terms of what is in them in licenses/
# The binaries are linked statically on the host (see e2e/images.sh), because the build then uses cargo's own cache.

FROM scratch AS operator
COPY spillway /spillway
COPY licenses /licenses
USER 65532:65532
ENTRYPOINT ["/spillway"]

FROM scratch AS sidecar
COPY spillway-sidecar /spillway-sidecar
COPY licenses /licenses
USER 65532:65532
ENTRYPOINT ["/spillway-sidecar"]
