"""Where records come from. A source says what it reads as values; what they mean is the core's business."""
