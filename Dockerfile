# limpet as the program of a container: docker build -t limpet . && docker run -v "$PWD:/data" limpet watch .
# docs/how-to/containers.md says what differs in one. Extras: --build-arg EXTRAS=bot,nats
FROM python:3.13-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE constraints.txt ./
COPY src ./src
ARG EXTRAS=bot,cli,nats,web,webhook
RUN python -m venv /opt/limpet && \
    /opt/limpet/bin/pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

FROM python:3.13-slim
COPY --from=build /opt/limpet /opt/limpet
RUN useradd --uid 1000 --create-home limpet && mkdir /data /state && chown limpet: /data /state
ENV PATH=/opt/limpet/bin:$PATH PYTHONUNBUFFERED=1
USER limpet
WORKDIR /data
VOLUME ["/state"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["limpet"]
CMD ["--help"]
