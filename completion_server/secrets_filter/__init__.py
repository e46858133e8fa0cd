"""Files and values that look like secrets. They are kept out of prompts and of training corpora."""

from completion_server.secrets_filter.file_names import is_secret_file
from completion_server.secrets_filter.spans import has_secret, redact, secret_spans

__all__ = ["has_secret", "is_secret_file", "redact", "secret_spans"]
