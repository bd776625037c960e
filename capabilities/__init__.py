"""What a run may do: catalogue, policy, snapshot and gate."""
