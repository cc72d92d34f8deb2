# Two stages: the first builds an environment from the lock file, the second has nothing but Python and that.
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1
COPY requirements/image.lock requirements/image.lock
RUN python -m venv /opt/dragoman && /opt/dragoman/bin/pip install --require-hashes -r requirements/image.lock
COPY pyproject.toml README.md LICENSE ./
COPY requirements/sbom.cdx.json requirements/sbom.cdx.json
COPY src src
# What is needed to install is not needed to run.
RUN /opt/dragoman/bin/pip install --no-deps --no-build-isolation . \
 && /opt/dragoman/bin/python -m compileall -q /opt/dragoman/lib \
 && /opt/dragoman/bin/pip uninstall -y -q hatchling editables pluggy pathspec tomlkit trove-classifiers packaging pip

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="dragoman" \
      org.opencontainers.image.description="One gateway that lets any Ollama, OpenAI or Anthropic program use any model" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data --shell /usr/sbin/nologin dragoman \
 && install -d -o dragoman -g dragoman -m 700 /data
COPY --from=build /opt/dragoman /opt/dragoman
COPY requirements/sbom.cdx.json /usr/share/doc/dragoman/
ENV PATH=/opt/dragoman/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    DRAGOMAN_DATA=/data DRAGOMAN_LOG_FORMAT=json
USER 10001:10001
# All that is written: stored responses and derived models.  The rest of the file system may be read-only.
VOLUME /data
WORKDIR /data
EXPOSE 11434
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=6s --start-period=10s --retries=3 CMD ["dragoman", "health"]
ENTRYPOINT ["dragoman"]
CMD ["serve"]
