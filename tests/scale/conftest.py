import sys
from pathlib import Path

# The helpers of these tests stand beside them, in no package.
sys.path.insert(0, str(Path(__file__).parent))
