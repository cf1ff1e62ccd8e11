# The search page and the dashboard on CPU: `docker build -t cmr-hub .`, then see compose.yaml.
FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY cmr_hub cmr_hub
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 cmr
COPY requirements.txt /tmp/requirements.txt
# PyTorch's CPU build: PyPI's needs gigabytes of CUDA libraries.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    -r /tmp/requirements.txt
COPY --from=build /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl && rm -r /tmp/requirements.txt
USER 1000
WORKDIR /home/cmr
# A volume that is mounted here belongs to the user.
RUN mkdir galleries runs results pictures
ENV HF_HUB_OFFLINE=1 CMR_CACHE_HOME=/home/cmr/.cache/cmr-hub PYTHONUNBUFFERED=1
EXPOSE 7860 8501
HEALTHCHECK --interval=30s --start-period=60s --timeout=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/health')"]
ENTRYPOINT ["cmr"]
CMD ["demo", "--host", "0.0.0.0", "--port", "7860"]
