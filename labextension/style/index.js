import './base.css';
import './differences.css';
import './asking.css';
