# A server for trained models on the CPU: docs/serving.md
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
RUN python -m venv /opt/eeg_hf \
 && /opt/eeg_hf/bin/pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    -c constraints.txt ".[serve,formats,export]" \
 && find /opt/eeg_hf -name __pycache__ -prune -exec rm -rf {} +

FROM python:3.12-slim
COPY --from=build /opt/eeg_hf /opt/eeg_hf
# Caches and uploads lie in /tmp, which --tmpfs provides where the root is read-only
ENV PATH=/opt/eeg_hf/bin:$PATH HOME=/tmp HF_HOME=/tmp/huggingface MPLCONFIGDIR=/tmp/matplotlib \
    NUMBA_CACHE_DIR=/tmp/numba HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://localhost:8000/health', timeout=4)"]
ENTRYPOINT ["eeg-hf", "serve", "--host", "0.0.0.0"]
CMD ["eeg-foundation-tiny-arithmetic"]
