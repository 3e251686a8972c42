# A small image: one stage compiles, the other carries only what runs, as an ordinary user.
#
#   docker build -t laneway .
#   docker run --rm -v laneway:/data laneway keys create
#   docker run -p 8080:8080 -v laneway:/data -e OPENAI_API_KEY laneway
#
# A key comes first, because inside a container Laneway has to listen on every interface, and there it refuses to serve
# without one. A configuration is read from /data/laneway.toml, if there is one.

FROM python:3.13-slim AS build

RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build

# The locks come first: they change seldom, and what they install is kept as a layer.
COPY .ci/build.txt .ci/run.txt .ci/
RUN pip install --require-hashes -r .ci/build.txt \
    && python -m venv /opt/laneway \
    && /opt/laneway/bin/python -m pip install --require-hashes -r .ci/run.txt

COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY native native
COPY src src
RUN pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && /opt/laneway/bin/python -m pip install --no-deps dist/*.whl

FROM python:3.13-slim

RUN useradd --system --uid 10001 --home-dir /data --create-home laneway
COPY --from=build /opt/laneway /opt/laneway

ENV PATH=/opt/laneway/bin:$PATH PYTHONUNBUFFERED=1 LANEWAY_STORE=sqlite:////data/laneway.db
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080

HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]

ENTRYPOINT ["laneway"]
CMD ["serve", "--host", "0.0.0.0"]
