"""What the user configured: aiops' own config file and the merged kubeconfig."""
