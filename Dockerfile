# One image, three commands: `serve` (HTTP and one worker), `work` (workers alone), `migrate`.
FROM debian:trixie-slim AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /build \
    && python3 -m venv --without-pip /opt/pullplan
COPY requirements.lock requirements-build.lock /source/
RUN /build/bin/pip install --no-cache-dir --no-compile --require-hashes -r /source/requirements-build.lock \
    && /build/bin/pip --python /opt/pullplan/bin/python install \
        --no-cache-dir --no-compile --only-binary :all: --require-hashes -r /source/requirements.lock
COPY . /source/
# The libraries' own tests stay behind. Bytecode is compiled once, here, and never checked against
# the sources: statsforecast imports in a third of the time.
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels /source \
    && /build/bin/pip --python /opt/pullplan/bin/python install --no-cache-dir --no-compile --no-deps /wheels/*.whl \
    && find /opt/pullplan/lib -type d -name tests -prune -exec rm -rf {} + \
    && /opt/pullplan/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/pullplan/lib

FROM debian:trixie-slim
LABEL org.opencontainers.image.title="pullplan" \
      org.opencontainers.image.description="Pull-based production planning for networks of many small local plants" \
      org.opencontainers.image.licenses="Apache-2.0"
# util-linux (setpriv) ties the embedded PostgreSQL's life to that of `serve`; Debian has it in every base.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 pullplan \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/pullplan --shell /usr/sbin/nologin pullplan \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/pullplan
COPY --from=build /opt/pullplan /opt/pullplan
# Loopback is the default everywhere else: only inside a container is every address its own network's.
ENV PATH=/opt/pullplan/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PULLPLAN_HOST=0.0.0.0 \
    PULLPLAN_PORT=8000 \
    PULLPLAN_DATA=/var/lib/pullplan
USER 10001
WORKDIR /var/lib/pullplan
VOLUME /var/lib/pullplan
EXPOSE 8000
STOPSIGNAL SIGTERM
# For `serve`; run `work` and `migrate` with --no-healthcheck, they listen on nothing.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PULLPLAN_PORT']}/health/ready\", timeout=4)"]
ENTRYPOINT ["pullplan"]
CMD ["serve"]
