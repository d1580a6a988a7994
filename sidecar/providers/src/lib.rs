//! Provider dialects: requests out, responses and streams in, errors classified, tokens counted.
