"""Raw labelled data to tf.Examples: images in folders, tables, pairs, TFRecords."""
