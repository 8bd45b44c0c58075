"""Where the one graph runs: on this machine, on Airflow, on Kubeflow."""
