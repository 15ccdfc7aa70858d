"""Many trials on Ray: runner, trainable, scheduler adapter, cluster."""
