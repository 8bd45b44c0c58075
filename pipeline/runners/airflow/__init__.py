"""Compiler for Apache Airflow. The DAG file does not import Diptych."""
