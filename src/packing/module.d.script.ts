declare const body: string;
export default body;
