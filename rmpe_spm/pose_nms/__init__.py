"""NMS over whole poses."""
