"""For developers only, never in the image: the embedded control plane, builds of real parts, the demo."""
