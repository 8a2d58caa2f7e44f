"""From a bundle to where it is used: exported graphs, the gate that they must pass, and a runtime without torch."""
