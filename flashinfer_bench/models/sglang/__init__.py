"""SGLang's source, read and never imported: where it is, and which architectures it has."""
